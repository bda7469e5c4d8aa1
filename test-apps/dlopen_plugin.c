/* SPDX-License-Identifier: Apache-2.0 */
/* An object to be loaded. Built as NAME: say_NAME() calls a function that the other object has as well. */
#define TEXT_OF(name) #name
#define TEXT(name)    TEXT_OF(name)
#define JOIN_OF(a, b) a##b
#define JOIN(a, b)    JOIN_OF(a, b)

const char *own_name(void);
const char *JOIN(say_, NAME)(void);

const char *own_name(void)
{
    return TEXT(NAME);
}

const char *JOIN(say_, NAME)(void)
{
    return own_name();
}
