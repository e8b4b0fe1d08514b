package control

// AskWho is ask with a way to find out who serves.
var AskWho = askWho
