/* SPDX-License-Identifier: Apache-2.0 */
/* A user's file of sampling rules, in the form of X-Ray's SDKs (version 1 or 2) or of the AWS CLI. Read by
 * xray_sampling.c for each program that names one. */
#ifndef SPANSHIM_XRAY_RULES_FILE_H
#define SPANSHIM_XRAY_RULES_FILE_H

#include "exporters/agent/xray_rules.h"

enum { XRAY_RULES_FILE_MAX = 1 << 20, XRAY_RULES_FILE_PROBLEM_SIZE = 256 };

/* Append the file's rules to `rules` (empty), in the order in which they count; the last fits everything. 0, or -errno:
 * what is wrong and what to do about it is in `problem`, and `rules` is empty. Context: loop. */
int xray_rules_file_read(const char *path, struct xray_rules *rules, char problem[XRAY_RULES_FILE_PROBLEM_SIZE]);

/* The same of the file's text. Context: loop. */
int xray_rules_file_parse(const char *text, size_t length, struct xray_rules *rules,
                          char problem[XRAY_RULES_FILE_PROBLEM_SIZE]);

#endif
