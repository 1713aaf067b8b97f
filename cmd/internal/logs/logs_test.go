package logs

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
)

// logged returns what New's logger writes to a pipe.
func logged(t *testing.T, format Format, level slog.Level, log func(*slog.Logger)) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	log(New(w, format, level))
	w.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func all(l *slog.Logger) {
	l.Debug("a")
	l.Info("b", "n", 1)
	l.Warn("c")
	l.Error("d")
}

func TestLevels(t *testing.T) {
	for variable, want := range map[string]int{"": 3, "info": 3, "verbose": 4, "debug": 4, "error": 1, "silent": 0, "other": 3} {
		for _, format := range []Format{Text, JSON} {
			text := logged(t, format, Level(variable), all)
			if got := strings.Count(text, "\n"); got != want {
				t.Errorf("LOG_LEVEL=%s, %s: %d records:\n%s", variable, format, got, text)
			}
		}
	}
}

func TestFormats(t *testing.T) {
	var record struct {
		Level, Msg string
		N          int
	}
	text := logged(t, JSON, slog.LevelInfo, func(l *slog.Logger) { l.Info("b", "n", 1) })
	if err := json.Unmarshal([]byte(text), &record); err != nil || record.Level != "INFO" || record.Msg != "b" || record.N != 1 {
		t.Errorf("%q: %+v, %v", text, record, err)
	}
	if _, err := ParseFormat("xml"); err == nil {
		t.Error("xml is a format")
	}
	for _, f := range []Format{Text, JSON} {
		if got, err := ParseFormat(string(f)); got != f || err != nil {
			t.Errorf("%s: %v, %v", f, got, err)
		}
	}
}

func TestJournal(t *testing.T) {
	var b bytes.Buffer
	l := slog.New(newJournal(&b, slog.LevelDebug)).With("interface", "wg0")
	all(l)
	l.WithGroup("g").Info("two\nlines", "level", 2)
	want := `<7>msg=a interface=wg0
<6>msg=b interface=wg0 n=1
<4>msg=c interface=wg0
<3>msg=d interface=wg0
<6>msg="two\nlines" interface=wg0 g.level=2
`
	if b.String() != want {
		t.Errorf("got:\n%swant:\n%s", &b, want)
	}
}
