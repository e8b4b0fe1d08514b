// Package fdpass handles descriptors that go from process to process: it makes socket pairs, sends descriptors over
// them (SCM_RIGHTS, unix(7)), takes them out of what has come, and duplicates them. Every descriptor that it returns is closed on exec.
//
// The other side may be lying: it may send no descriptor, many, or any kind. Callers say how many they expect, and check
// what each is.
package fdpass
