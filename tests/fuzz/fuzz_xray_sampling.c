/* SPDX-License-Identifier: Apache-2.0 */
/* X-Ray's sampling rules while the agent is writing them: whatever stands there, a decision is made. Input: a path, a
 * host and a method, a line each; then the bytes of a struct wire_xray_rules. */
#include "preload/slice.h"
#include "preload/wire.h"
#include "preload/xray_sampling.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t trace_id[16] = {255, 255, 255, 255, 255, 255, 255, 255, 255};
    struct wire_control *control = calloc(1, sizeof(*control));
    struct wire_xray_tally *tallies = calloc(WIRE_XRAY_TALLIES_MAX, sizeof(*tallies));
    struct xray_request request = {.now_ns = 5000000000, .trace_id = trace_id};
    struct slice rest = {(const char *)data, size};
    struct xray_decision decision;
    uint32_t requests = 0, sampled = 0;

    FUZZ_CHECK(control && tallies);
    (void)(slice_next(&rest, '\n', &request.path) && slice_next(&rest, '\n', &request.host) &&
           slice_next(&rest, '\n', &request.method));
    if (rest.length > sizeof(control->xray[1]))
        rest.length = sizeof(control->xray[1]);
    if (rest.length > 0)
        memcpy(&control->xray[1], rest.bytes, rest.length);
    control->xray_generation = 1;
    request.is_named_by_host = request.host.length % 2;
    request.methods = request.method.length > 0 ? 1u << WIRE_METHOD_OTHER : 1u << WIRE_METHOD_GET;
    xray_sampling_decide(control, tallies, &request, &decision);
    FUZZ_CHECK(decision.name_length <= sizeof(decision.name));
    for (size_t i = 0; i < WIRE_XRAY_TALLIES_MAX; i++) {
        requests += tallies[i].requests;
        sampled += tallies[i].sampled;
    }
    FUZZ_CHECK(requests == 1 && sampled == decision.is_sampled);
    free(tallies);
    free(control);
    return 0;
}
