# SPDX-License-Identifier: Apache-2.0
# The shim is built for size (-Os) but for these files, which work on each request of a kept connection: -O2. They take a
# third more instructions otherwise (docs/decisions/object-size.md).

set(hot_files
    hooks/libc_io.c
    hooks/libc_message.c
    preload/conn.c
    preload/conn_bytes.c
    preload/conn_send.c
    preload/current.c
    preload/exchange.c
    preload/exchange_request.c
    preload/exchange_response.c
    preload/fdtab.c
    preload/http1.c
    preload/http1_head.c
    preload/ids.c
    preload/outgoing.c
    preload/propagation.c
    preload/propagation_tracecontext.c
    preload/redact.c
    preload/request.c
    preload/ring.c
    preload/slice.c
    preload/span.c
    preload/span_context.c
    preload/span_head.c
    preload/span_text.c
    preload/target.c
)

list(TRANSFORM hot_files PREPEND ${PROJECT_SOURCE_DIR}/)

# Of gcc's -O2 what makes code longer and no faster here is left out. What is to be inlined says so.
set(is_optimised $<NOT:$<CONFIG:Debug>>)
set_property(SOURCE ${hot_files} TARGET_DIRECTORY spanshim_core spanshim APPEND PROPERTY COMPILE_OPTIONS
    $<${is_optimised}:-O2;-fno-align-functions>
    $<$<AND:${is_optimised},$<C_COMPILER_ID:GNU>>:-fno-align-jumps;-fno-align-labels;-fno-align-loops;-fno-inline-functions;-fshrink-wrap>
    $<$<AND:${is_optimised},$<C_COMPILER_ID:GNU>>:-fno-reorder-blocks-and-partition;-freorder-blocks-algorithm=simple;-fno-tree-ch>)

# What runs for each request lies side by side: code that is spread over the object costs a server more than what it does
# (docs/decisions/object-size.md). First what a server's requests need, then what those of a client need, too: by
# callgrind, of bench/instructions' httpd and proxy. A name that is gone, or inlined, does no harm.
set(hot_functions
    arena_pool_get arena_pool_put await become carried_end cells_fill clear conn_brings conn_capture
    conn_data_in_vector conn_data_out conn_data_out_vector conn_looks_ahead counted_end current_clear current_turn
    current_would_turn echo_add exchange_head_release exchange_request_end exchange_request_event
    exchange_request_head_end exchange_requests exchange_response_event exchange_responses
    exchange_was_ended_elsewhere fdtab_get feed_start_line hook_active http1_feed http1_note_field ids_make_span
    ids_make_trace is_known note_answered note_length number origin_of_head poll polled propagation_done put put_text
    read read_connection read_content_length read_decimal redact_ip_bytes request_ended request_live
    requests_of_stream responses_of_stream ring_slot_take ring_wake set_adrift slice_copy slice_same_bytes span_context_settle
    span_end span_head_end span_names_settle span_open span_print span_request_field span_request_line span_text_add
    split_path split_whole state_add take_rare_line take_host target_split_authority turn work_on_youngest write

    accept4 answer_seen_late begin by_writev carried_of clock_read_ns close conn_send current_certain end epoll_pwait
    epoll_wait exchange_answered exchange_sending getsockopt give_back hook_enter is_interim obstacle or_only
    outgoing_build own plan_head propagation_field propagation_put propagation_put_text propagation_write
    propagation_write_traceparent readv received recv recvfrom recvmsg release ring_slot_next send sendfile
    sending_begin sendmsg sendto span_context_lines span_text_of take tie_answered tie_read tie_ref_get tie_ref_set
    turn_to_owner wait_for_events writev)

# GNU ld's own script, with these first in .text. For that each function has a section of its own.
execute_process(COMMAND ${CMAKE_LINKER} -shared -z now -z relro -z noseparate-code --verbose OUTPUT_VARIABLE script
    ERROR_QUIET)
if(script MATCHES "\n=====+\n(.*[*][(][.]text[.]unlikely .*)\n=====+\n")
    set(script "${CMAKE_MATCH_1}")
    list(TRANSFORM hot_functions REPLACE "(.+)" "*(.text.\\1 .text.\\1.*)")
    list(JOIN hot_functions "\n    " hot_sections)
    string(REPLACE "*(.text.unlikely " "${hot_sections}\n    *(.text.unlikely " script "${script}")
    file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/hooks/order.ld CONTENT "${script}" @ONLY)
    set_property(TARGET spanshim APPEND PROPERTY LINK_DEPENDS ${PROJECT_BINARY_DIR}/hooks/order.ld)
    target_compile_options(spanshim_target_flags INTERFACE $<${is_optimised}:-ffunction-sections>)
    target_link_options(spanshim PRIVATE
        $<${is_optimised}:-ffunction-sections;-Wl,-T,${PROJECT_BINARY_DIR}/hooks/order.ld>)
endif()
