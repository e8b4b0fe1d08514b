package activation

// Announced is announced.
var Announced = announced
