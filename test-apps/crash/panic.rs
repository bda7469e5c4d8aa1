// SPDX-License-Identifier: Apache-2.0
// A Rust program that panics, built so that a panic aborts; or faults, with the standard library's own handlers in place.
use std::env;

#[inline(never)]
fn price(prices: &[i32], number: usize) -> i32 {
    prices[number]
}

#[inline(never)]
#[allow(unconditional_recursion)]
fn deeper(depth: u64) -> u64 {
    let space = [depth; 64];
    deeper(unsafe { std::ptr::read_volatile(&space[0]) } + 1) + unsafe { std::ptr::read_volatile(&space[1]) }
}

#[inline(never)]
fn refuse() {
    panic!("no stock left");
}

fn main() {
    let number = env::args().count() + 6;
    match env::args().nth(1).as_deref() {
        Some("panic") => println!("{}", price(&[1, 2, 3], number)),
        Some("words") => refuse(),
        Some("overflow") => println!("{}", deeper(0)),
        Some("null") => println!("{}", unsafe { std::ptr::read_volatile(env::args().count().wrapping_sub(2) as *const i32) }),
        _ => std::process::exit(2),
    }
}
