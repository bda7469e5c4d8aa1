# SPDX-License-Identifier: Apache-2.0
# What is installed beside the programs, and packages made of it. (Programs say where they go in their own folder.)

# The object is put in place by rename: a process that starts meanwhile maps the old one or the new one, whole.
set(object_folder ${CMAKE_INSTALL_LIBDIR}/.spanshim-new)
install(TARGETS spanshim LIBRARY DESTINATION ${object_folder} COMPONENT shim)
install(CODE "
    set(folder \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}\")
    file(RENAME \"\${folder}/.spanshim-new/libspanshim.so\" \"\${folder}/libspanshim.so\")
    file(REMOVE_RECURSE \"\${folder}/.spanshim-new\")
    list(TRANSFORM CMAKE_INSTALL_MANIFEST_FILES REPLACE \"/[.]spanshim-new/\" \"/\")"
    COMPONENT shim)

file(RELATIVE_PATH prefix_from_pcdir
    ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" prefix_from_pcdir ${prefix_from_pcdir})
configure_file(${CMAKE_CURRENT_LIST_DIR}/spanshim.pc.in ${PROJECT_BINARY_DIR}/spanshim.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/spanshim.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT shim)

foreach(manager system user)
    install(FILES ${CMAKE_CURRENT_LIST_DIR}/systemd/spanshim-agent.socket
        ${CMAKE_CURRENT_LIST_DIR}/systemd/spanshim-agent.service
        DESTINATION lib/systemd/${manager} COMPONENT agent)
endforeach()

set(CPACK_PACKAGE_NAME spanshim)
set(CPACK_PACKAGE_VENDOR "the spanshim authors")
set(CPACK_PACKAGE_CONTACT "the spanshim authors <spanshim@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "OpenTelemetry traces from unmodified programs")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_PACKAGE_FILE_NAME spanshim-${PROJECT_VERSION}-${CMAKE_SYSTEM_PROCESSOR})
set(CPACK_STRIP_FILES ON)
set(CPACK_MONOLITHIC_INSTALL ON)

set(CPACK_GENERATOR TGZ)
find_program(DPKG_SHLIBDEPS dpkg-shlibdeps)
if(DPKG_SHLIBDEPS)
    list(APPEND CPACK_GENERATOR DEB)
    set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
    set(CPACK_DEBIAN_PACKAGE_SECTION admin)
    set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
endif()
find_program(RPMBUILD rpmbuild)
if(RPMBUILD)
    list(APPEND CPACK_GENERATOR RPM)
    set(CPACK_RPM_FILE_NAME RPM-DEFAULT)
    set(CPACK_RPM_PACKAGE_LICENSE Apache-2.0)
endif()
include(CPack)
