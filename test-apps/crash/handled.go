// SPDX-License-Identifier: Apache-2.0

// Go's runtime makes a panic of a fault in Go's code, and ends the process at one in C's. With C in it the program uses
// libc for its signals' actions, but not for its alternate stacks.
package main

// static void c_null_write(int *null) { *null = 1; }
import "C"

import (
	"fmt"
	"os"
)

func nullWrite() {
	defer func() { fmt.Println("recovered:", recover()) }()
	var null *int
	*null = 1
}

func main() {
	done := make(chan bool)
	for i := 0; i < 20; i++ {
		go func() {
			nullWrite()
			done <- true
		}()
		<-done
	}
	if len(os.Args) > 1 {
		C.c_null_write(nil)
	}
}
