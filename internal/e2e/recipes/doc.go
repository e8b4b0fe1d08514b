// Package recipes has the programs of docs/recipes.md, one in each folder, and upgrades them under load. It is a module of its own, so
// that gozd does not require what they are made with.
package recipes
