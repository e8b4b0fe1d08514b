// Package stranger gives tests a process of another user's.
package stranger
