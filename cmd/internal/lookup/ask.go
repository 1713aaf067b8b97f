package lookup

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// The methods in this file are called with s.mu held, except those that run in
// goroutines of their own.

var errNoAddress = errors.New("it has no address")

// askIn asks for a name in a while, instead of when it was to be asked.
func (s *Scheduler) askIn(n *name, d time.Duration) {
	n.stop()
	n.timer = time.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !n.gone && !n.busy {
			s.ask(n)
		}
	})
}

func (n *name) stop() {
	if n.timer != nil {
		n.timer.Stop()
		n.timer = nil
	}
}

// ask asks for a name as soon as not too many others are being asked for.
func (s *Scheduler) ask(n *name) {
	if s.ended {
		return
	}
	n.stop()
	n.busy = true
	s.ready = append(s.ready, n)
	if s.asking < maxAsking {
		s.asking++
		s.routines.Go(s.askAll)
	}
}

// askAll is a goroutine that asks until nothing is left to ask.
func (s *Scheduler) askAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.ready) > 0 && !s.ended {
		n := s.ready[0]
		s.ready = s.ready[1:]
		if n.gone {
			n.busy = false
			continue
		}
		s.mu.Unlock()
		addrs, err := s.config.Lookup(s.ctx, n.host)
		s.mu.Lock()
		if err == nil && len(addrs) == 0 {
			err = errNoAddress
		}
		n.busy = false
		if !n.gone && !s.ended {
			s.answered(n, addrs, err)
		}
	}
	s.asking--
}

// answered takes note of the answer to a question.
func (s *Scheduler) answered(n *name, addrs []netip.Addr, err error) {
	first, failedBefore := !n.tried, n.err
	n.tried, n.err, n.asked = true, err, time.Now()
	if err != nil {
		s.sayFailed(n, failedBefore)
		s.askIn(n, n.delay.Next())
		if !first {
			return
		}
	} else {
		if failedBefore != nil {
			s.config.Log.Info("endpoint name resolves now", "name", n.host, "addresses", addrs)
			n.delay.Reset()
		}
		n.addrs = slices.Clone(addrs[:min(len(addrs), maxAddrs)])
		if entry := s.cache[n.host]; !slices.Equal(entry.Addresses, n.addrs) {
			s.store(n.host, cached{entry.Worked, n.addrs})
		}
	}
	again := n.repeat && err == nil
	if again {
		n.repeat = false
	}
	for _, p := range n.peers {
		s.consider(p, again)
	}
}

// sayFailed logs a failure if it is another than before.
func (s *Scheduler) sayFailed(n *name, before error) {
	why := Reason(n.err).Error()
	if before != nil && Reason(before).Error() == why {
		return
	}
	log := s.config.Log.Warn
	if s.ctx.Err() != nil {
		log = s.config.Log.Debug
	}
	log("endpoint name does not resolve, trying on", "name", n.host, "err", why, "last", n.addrs)
}

// consider puts a peer among the news if there is any. Again says that it is
// news even if nothing has changed.
func (s *Scheduler) consider(p *peer, again bool) {
	names := hosts(p.Peer)
	if len(names) == 0 {
		return // nothing that could change
	}
	if !p.open {
		p.open = !slices.ContainsFunc(names, func(host string) bool { return !s.names[host].tried })
	}
	if !p.open || p.news {
		return
	}
	list := s.candidates(p)
	if len(list) == 0 || !again && slices.Equal(list, p.last) {
		return
	}
	p.news = true
	s.news = append(s.news, p)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// nextResult takes the oldest news.
func (s *Scheduler) nextResult() (r Result, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.news) > 0 {
		p := s.news[0]
		s.news = s.news[1:]
		p.news = false
		if s.peers[p.Key] != p {
			continue // Set has removed or replaced it
		}
		p.last = s.candidates(p)
		return Result{p.Key, slices.Clone(p.last)}, true
	}
	s.news = nil
	return Result{}, false
}

// run is the goroutine that hands results out until the end, and then ends all
// others.
func (s *Scheduler) run() {
	defer close(s.results)
	defer s.end()
	for {
		r, ok := s.nextResult()
		if !ok {
			select {
			case <-s.wake:
				continue
			case <-s.ctx.Done():
				return
			}
		}
		select {
		case s.results <- r:
		case <-s.ctx.Done():
			return
		}
	}
}

func (s *Scheduler) end() {
	s.mu.Lock()
	s.ended = true
	for _, n := range s.names {
		n.stop()
	}
	s.mu.Unlock()
	s.routines.Wait()
	if s.unsaved {
		s.saveNow()
	}
}

// store changes what the cache says of a name, and saves it soon.
func (s *Scheduler) store(host string, entry cached) {
	s.cache[host] = entry
	if s.config.Path == "" || s.unsaved {
		return
	}
	s.unsaved = true
	time.AfterFunc(saveDelay, func() {
		s.mu.Lock()
		if s.ended {
			s.mu.Unlock()
			return // end saves
		}
		s.routines.Add(1)
		s.mu.Unlock()
		defer s.routines.Done()
		s.saveNow()
	})
}

// saveNow writes the file, with the names that are still in use. An error is
// logged once: the addresses are still known, until the end.
func (s *Scheduler) saveNow() {
	s.mu.Lock()
	s.unsaved = false
	maps.DeleteFunc(s.cache, func(host string, _ cached) bool { return s.names[host] == nil })
	entries := maps.Clone(s.cache)
	s.mu.Unlock()

	text := ""
	if err := saveCache(s.config.Path, entries); err != nil {
		text = err.Error()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if text != "" && text != s.saveErr {
		s.config.Log.Warn("the addresses of endpoints can't be saved", "err", text)
	}
	s.saveErr = text
}
