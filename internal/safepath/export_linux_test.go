package safepath

// IsMapped is isMapped.
var IsMapped = isMapped
