# SPDX-License-Identifier: Apache-2.0
set(CPACK_PACKAGE_NAME spanshim)
set(CPACK_GENERATOR TGZ)
include(CPack)
