package host

import (
	"context"
	"errors"

	"vpn/conf"
)

var errSkeleton = errors.New("not built yet")

func Read(q Query) (*State, error)                                          { return nil, errSkeleton }
func Up(c *conf.Config, s *State, o Options) (*Plan, error)                 { return nil, errSkeleton }
func Reload(c *conf.Config, j *Journal, s *State, o Options) (*Plan, error) { return nil, errSkeleton }
func Apply(ctx context.Context, p *Plan, j *Journal, o Owner, show func(Action)) error {
	return errSkeleton
}
func Undo(ctx context.Context, j *Journal, show func(Action)) error { return errSkeleton }
func Missing(s *State, j *Journal) []Step                           { return nil }
func Watch(ctx context.Context, link string, table uint32) (<-chan Change, error) {
	return nil, errSkeleton
}
