# SPDX-License-Identifier: Apache-2.0
# What a preset may set, and the interface targets that carry it.

option(SPANSHIM_WERROR "Treat warnings as errors" OFF)
option(SPANSHIM_FUZZ "Build the libFuzzer targets (clang)" OFF)
option(SPANSHIM_COVERAGE "Instrument for gcov" OFF)
set(SPANSHIM_SANITIZE "" CACHE STRING "Sanitizers, comma separated: address,undefined or thread")

if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Build type" FORCE)
endif()

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)

# Everything we compile ourselves links this.
add_library(spanshim_build INTERFACE)
target_compile_definitions(spanshim_build INTERFACE _GNU_SOURCE)
target_include_directories(spanshim_build INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
target_compile_options(spanshim_build INTERFACE
    $<$<COMPILE_LANGUAGE:C>:-Wall;-Wextra;-Wshadow;-Wstrict-prototypes;-Wmissing-prototypes;-Wpointer-arith;-Wwrite-strings;-Wundef;-Wvla;-Wformat=2;-Wimplicit-fallthrough;-Wswitch-enum>
    -fvisibility=hidden -fno-common -g)
if(SPANSHIM_WERROR)
    target_compile_options(spanshim_build INTERFACE -Werror)
endif()
if(SPANSHIM_SANITIZE)
    target_compile_options(spanshim_build INTERFACE -fsanitize=${SPANSHIM_SANITIZE} -fno-omit-frame-pointer)
    target_link_options(spanshim_build INTERFACE -fsanitize=${SPANSHIM_SANITIZE})
    if(SPANSHIM_SANITIZE MATCHES "undefined")
        target_compile_options(spanshim_build INTERFACE -fno-sanitize-recover=undefined)
    endif()
endif()
if(SPANSHIM_FUZZ)
    target_compile_options(spanshim_build INTERFACE -fsanitize=fuzzer-no-link)
    target_link_options(spanshim_build INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(SPANSHIM_COVERAGE)
    target_compile_options(spanshim_build INTERFACE --coverage -O0)
    target_link_options(spanshim_build INTERFACE --coverage)
endif()
