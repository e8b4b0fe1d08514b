package tlsrec

// UpdateAfter is when new keys are made.
const UpdateAfter = updateAfter
