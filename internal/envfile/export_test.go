package envfile

// Parse is what Read does with what is in the file.
var Parse = parse
