package upgrade

// WordsWait is wordsWait.
const WordsWait = wordsWait
