/* SPDX-License-Identifier: Apache-2.0 */
/* Writes to the standard streams of C++. */
#include <iostream>

int main()
{
    std::cout << "cout " << 1 << '\n';
    std::cerr << "cerr " << 2 << std::endl;
    std::clog << "clog " << 3 << '\n';
    std::ios::sync_with_stdio(false);
    std::cout << "cout, not in step with stdio" << '\n';
    std::cout << "no end";
}
