-- SPDX-License-Identifier: Apache-2.0
-- Pauses of 0 to 7 ms before each request: the tests want requests at odd moments, not as many as possible.
function delay()
    return math.random(0, 7)
end
