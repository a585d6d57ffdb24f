// Command scale computes what a million photos a day and a hundred million in
// one batch would meet, from measured unit figures. It simulates queue and
// executions photo by photo; it calls nothing.
package main

func main() {}
