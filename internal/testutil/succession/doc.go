// Package succession has tests replace a listener by another one in the same process,
// to which its connections move.
package succession
