//go:build !windows

package conf

// modesMatter is true where a file's mode says who may use it.
const modesMatter = true
