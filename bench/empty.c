/* SPDX-License-Identifier: Apache-2.0 */
/* A preload with nothing in it: what the loader alone costs. */
