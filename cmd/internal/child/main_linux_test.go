package child_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vpn/cmd/internal/child"
	"vpn/cmd/internal/cli"
	"vpn/cmd/internal/floor"
	"vpn/cmd/internal/testnet"
	"vpn/tun"
	"vpn/tunnel"
	"vpn/tunnel/uapi"
	"vpn/tunnel/udp"
)

// TestMain is also the engine, because a keeper starts its own program, and the
// keeper of the tests.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 2 && os.Args[1] == "device":
		if misbehave := strange[os.Args[2]]; misbehave != nil {
			misbehave(os.NewFile(3, "keeper"))
			os.Exit(3)
		}
		os.Exit(cli.Main())
	case len(os.Args) > 2 && os.Args[1] == "keeper":
		if err := keep(os.Args[2]); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(testnet.Main(m))
}

// keep is the smallest keeper: it makes a persistent link and a control socket,
// and has an engine until that ends well. SIGUSR1 is sleep, and its end; SIGUSR2
// asks which port is open, and with which mark.
func keep(name string) error {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2)
	device, err := tun.Create(name, 0, tunnel.MaxLines)
	if err != nil {
		return err
	}
	defer device.Close()
	native := device.(tun.Native)
	if err := native.SetPersistent(true); err != nil {
		return err
	}
	l, err := uapi.Listen(name)
	if err != nil {
		return err
	}
	defer l.Close()
	listener, err := l.File()
	if err != nil {
		return err
	}
	c := child.Config{
		Name: name, Device: native.Files(), Listener: listener,
		Ports: child.NewPorts(udp.Spread(tunnel.MaxLines)), Floors: child.NewFloors(floor.New(floor.Default)),
		Log: slog.New(slog.NewTextHandler(os.Stdout, nil)), Stderr: os.Stdout, Level: "debug",
	}
	for n := 1; ; n++ {
		e, err := child.Start(context.Background(), c)
		if err != nil {
			return err
		}
		err = attend(e, n, c.Ports, signals)
		fmt.Printf("engine %d ended: %v\n", n, err)
		if e.Clean() {
			return nil
		}
	}
}

// attend stays with an engine until it has ended.
func attend(e *child.Engine, n int, ports *child.Ports, signals <-chan os.Signal) error {
	ready, events := e.Ready(), e.Events()
	ctx := context.Background()
	for {
		select {
		case <-ready:
			fmt.Printf("engine %d is ready: %d;\n", n, e.PID())
			ready = nil
			if err := e.Configured(); err != nil {
				return err
			}
		case event, ok := <-events:
			if !ok {
				return e.Err()
			}
			fmt.Printf("event: %v %v %v %v\n", event.Kind, event.Peer, event.Endpoint, event.Why)
		case s := <-signals:
			switch s {
			case unix.SIGUSR1:
				fmt.Println("suspended:", e.Suspend(ctx))
				drops, err := e.Drops(ctx)
				fmt.Println("resumed:", e.Resume(ctx), err, drops[tunnel.NoPeer] > 0)
			case unix.SIGUSR2:
				fmt.Println(portsNow(ports))
			default:
				stopping, cancel := context.WithTimeout(ctx, 10*time.Second)
				defer cancel()
				return e.Stop(stopping)
			}
		}
	}
}

// portsNow says what the kernel has of the sockets that are open.
func portsNow(ports *child.Ports) string {
	port, mark := ports.Current()
	files, _, err := ports.Open(port, mark)
	if err != nil {
		return err.Error()
	}
	text := "ports: " + strconv.Itoa(int(port))
	for _, f := range files {
		raw, err := f.SyscallConn()
		if err != nil {
			return err.Error()
		}
		e := raw.Control(func(fd uintptr) {
			mark, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK)
			text += fmt.Sprintf(" %d %v", mark, errors.Join(err))
		})
		if e != nil {
			return e.Error()
		}
		f.Close()
	}
	return text
}

// strange are engines that no keeper should have, by the name of their link.
var strange = map[string]func(pair *os.File){
	"garbage":    func(pair *os.File) { say(pair, "\x00\x01 hello"); wait() },
	"long":       func(pair *os.File) { say(pair, string(make([]byte, 60_000))); wait() },
	"unknown":    func(pair *os.File) { say(pair, `{"kind":"selfdestruct"}`); wait() },
	"incomplete": func(pair *os.File) { say(pair, `{"kind":"event"}`); wait() },
	"newline": func(pair *os.File) {
		say(pair, `{"kind":"event","event":{"kind":7,"endpoint":"[fe80::1%x\ny]:1"}}`)
		wait()
	},
	"crash":    func(*os.File) { os.Exit(7) },
	"early":    func(pair *os.File) { say(pair, `{"kind":"failed","error":"no\u001b[31m luck"}`) },
	"stubborn": func(pair *os.File) { say(pair, `{"kind":"ready"}`); signal.Ignore(unix.SIGTERM); wait() },
	"flood": func(pair *os.File) {
		say(pair, `{"kind":"ready"}`)
		for {
			say(pair, `{"kind":"event","event":{"kind":7,"endpoint":"192.0.2.1:1"}}`)
			say(pair, `{"kind":"event","event":{"kind":3,"session":"calm-otter"}}`)
		}
	},
	"deaf": func(pair *os.File) {
		say(pair, `{"kind":"ready"}`)
		for {
			say(pair, `{"kind":"open","id":1}`)
		}
	},
	"files": func(pair *os.File) {
		for range 1000 {
			rights := unix.UnixRights(1, 1, 1, 1)
			if err := unix.Sendmsg(3, []byte(`{"kind":"ready"}`), rights, nil, 0); err != nil {
				os.Exit(4)
			}
		}
		os.Exit(0)
	},
	"future": func(pair *os.File) {
		say(pair, `{"kind":"floor","id":1,"peer":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","first":"7fffffffffffffff00000000"}`)
		say(pair, `{"kind":"floor","id":2,"peer":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","first":"7fffffffffffffff00000000"}`)
		b := make([]byte, 10_000)
		for range 3 { // the start and two replies
			if _, err := pair.Read(b); err != nil {
				os.Exit(4)
			}
		}
		os.Exit(0)
	},
}

func say(pair *os.File, text string) {
	if _, err := pair.WriteString(text); err != nil && !errors.Is(err, syscall.EMSGSIZE) {
		os.Exit(5)
	}
}

// wait is for ever.
func wait() { <-make(chan struct{}) }
