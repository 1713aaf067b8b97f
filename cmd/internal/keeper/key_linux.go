package keeper

import (
	"os"

	"vpn/conf"
	"vpn/tun/host"
	"vpn/tunnel/uapi"
)

// keepKey writes down the private key that a hook, or somebody by hand, has set where
// the file has none: the next engine has it from there.
func (k *Keeper) keepKey(c *conf.Config) {
	if c.Interface.PrivateKey.Given || c.Interface.PrivateKeyFile.Given {
		removeKey(k.name)
		return
	}
	err := k.ask(func(c *uapi.Client) error {
		d, err := c.Get()
		if err != nil {
			return err
		}
		defer d.Erase()
		if d.PrivateKey.IsZero() {
			removeKey(k.name)
			return nil
		}
		const size = 44 // of a key in base64
		text := d.PrivateKey.AppendBase64(make([]byte, 0, size))
		defer clear(text)
		return host.Replace(host.RunPath(k.name, keyFile), text)
	})
	if err != nil {
		k.log.Warn("the private key is not kept for the next engine", "error", err)
	}
}

// removeKey deletes what keepKey has written.
func removeKey(name string) { _ = os.Remove(host.RunPath(name, keyFile)) }
