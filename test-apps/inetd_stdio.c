/* SPDX-License-Identifier: Apache-2.0 */
/* An inetd server of the old school: the connection is stdin and stdout, read by fgets and answered by printf. */
#include <stdio.h>
#include <string.h>

int main(void)
{
    char line[1024];

    while (fgets(line, sizeof line, stdin) && strcmp(line, "\r\n") != 0)
        ;
    (void)printf("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    return 0;
}
