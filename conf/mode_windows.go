package conf

// modesMatter is false where a file's mode is made up.
const modesMatter = false

// dontWait is for named pipes, which aren't files here.
const dontWait = 0
