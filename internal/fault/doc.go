// Package fault lets a test stop a process at an exact step of an upgrade, to kill
// it there, and makes its disk full. Only programs built with the tag gozd_fault have it: without, its
// functions are empty and nothing of them is in the program.
package fault
