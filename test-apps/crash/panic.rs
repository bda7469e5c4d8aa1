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
    deeper(std::hint::black_box(space)[0] + 1) + space[1]
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
        Some("null") => println!("{}", unsafe { *std::hint::black_box(std::ptr::null::<i32>()) }),
        _ => std::process::exit(2),
    }
}
