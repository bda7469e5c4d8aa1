# SPDX-License-Identifier: Apache-2.0
# Test functions. A unit test is tests/unit/test_<module>.c, links a static core and never the hooks.

find_package(PkgConfig REQUIRED)
if(BUILD_TESTING)
    pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
endif()
find_program(SPANSHIM_PYTHON NAMES python3 PATHS /usr/bin NO_DEFAULT_PATH REQUIRED)

# For tests in Python: which build they are for, and where they find what they share.
set(python_environment
    "SPANSHIM_BUILD=${PROJECT_BINARY_DIR};PYTHONDONTWRITEBYTECODE=1;PYTHONPATH=${PROJECT_SOURCE_DIR}/tests/support")

# spanshim_unit_test(<module> <library>...)
function(spanshim_unit_test module)
    add_executable(test_${module} test_${module}.c)
    target_link_libraries(test_${module} PRIVATE ${ARGN} spanshim_build PkgConfig::CMOCKA)
    target_compile_definitions(test_${module} PRIVATE SPANSHIM_TEST_DATA="${PROJECT_SOURCE_DIR}/tests/data")
    add_test(NAME unit.${module} COMMAND test_${module})
    set_tests_properties(unit.${module} PROPERTIES LABELS unit TIMEOUT 300)
endfunction()

# spanshim_integration_test(<name> [TIMEOUT seconds]): tests/integration/test_<name>.py, run with the build's folder.
function(spanshim_integration_test name)
    cmake_parse_arguments(arg "SERIAL" "TIMEOUT" "" ${ARGN})
    if(NOT arg_TIMEOUT)
        set(arg_TIMEOUT 600)
    endif()
    add_test(NAME integration.${name}
        COMMAND ${SPANSHIM_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/test_${name}.py)
    set_tests_properties(integration.${name} PROPERTIES LABELS integration TIMEOUT ${arg_TIMEOUT}
        ENVIRONMENT "${python_environment}")
    if(arg_SERIAL)
        set_tests_properties(integration.${name} PROPERTIES RUN_SERIAL TRUE)
    endif()
endfunction()

# spanshim_server_test(<file> <class>): the class of tests/servers/test_<file>.py, which is one server in the matrix.
function(spanshim_server_test file class)
    add_test(NAME server.${file}.${class}
        COMMAND ${SPANSHIM_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/test_${file}.py ${class})
    set_tests_properties(server.${file}.${class} PROPERTIES LABELS server TIMEOUT 600
        ENVIRONMENT "${python_environment}")
endfunction()

# spanshim_client_test(<file> <class>): the class of tests/clients/test_<file>.py, which is one client in the matrix.
function(spanshim_client_test file class)
    add_test(NAME client.${file}.${class}
        COMMAND ${SPANSHIM_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/test_${file}.py ${class})
    set_tests_properties(client.${file}.${class} PROPERTIES LABELS client TIMEOUT 300
        ENVIRONMENT "${python_environment}")
endfunction()
