// Package freeport gives tests ports for programs that cannot be asked which port they got.
package freeport
