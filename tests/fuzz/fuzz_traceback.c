/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that may be errors of any language. What is found keeps to its bounds. */
#include "exporters/traceback/traceback.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

static void check_error(const json_t *error)
{
    const json_t *frames = json_object_get(error, "frames"), *frame;
    size_t i;

    FUZZ_CHECK(json_string_length(json_object_get(error, "class")) > 0);
    FUZZ_CHECK(json_array_size(frames) <= TRACEBACK_FRAMES_MAX);
    json_array_foreach(frames, i, frame)
    {
        FUZZ_CHECK(json_object_size(frame) > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *exact = malloc(size + (size == 0)); /* what is read behind its end is found out */
    json_t *found, *error;
    size_t i;

    FUZZ_CHECK(exact);
    memcpy(exact, data, size);
    found = traceback_read((struct slice){exact, size});
    FUZZ_CHECK(!found || json_array_size(json_object_get(found, "errors")) > 0);
    FUZZ_CHECK(json_array_size(json_object_get(found, "errors")) <= TRACEBACK_ERRORS_MAX);
    json_array_foreach(json_object_get(found, "errors"), i, error)
    {
        check_error(error);
    }
    json_decref(found);
    free(exact);
    return 0;
}
