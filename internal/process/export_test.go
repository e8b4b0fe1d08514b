package process

// What the tests need of the inside.
var (
	Overwrite = overwrite
	ParsePID  = parsePID
)
