package conf

// modesMatter is false where a file's mode is made up.
const modesMatter = false
