# SPDX-License-Identifier: Apache-2.0
# Lists made from .def files: a row is said once, there.

# Read the first argument of each ROW(...) of a .def file, in order.
function(spanshim_def_names def row_macro ret_names)
    file(STRINGS ${def} rows REGEX "^[ ]*${row_macro}\\(")
    set(names)
    foreach(row IN LISTS rows)
        string(REGEX REPLACE "^[ ]*${row_macro}\\(([A-Za-z0-9_]+).*" "\\1" name "${row}")
        list(APPEND names ${name})
    endforeach()
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${def})
    set(${ret_names} ${names} PARENT_SCOPE)
endfunction()
