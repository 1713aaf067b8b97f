// Package top is `vpn top`: how interfaces and their peers are, live in a terminal.
//
// Data flows one way: a watcher asks the interfaces in turns, the model keeps what they told with the rates before, and the view draws the
// model as lines, of which the screen writes those that have changed. Keys change the model. All but the watcher and the reader of keys
// belongs to one goroutine.
package top
