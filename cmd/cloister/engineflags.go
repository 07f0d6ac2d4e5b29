package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"cloister/appliance"
	"cloister/appliance/engine"
	"cloister/llama/offload"
)

// engineFlags say where models lie, for commands that load some.
func engineFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "gpu-layers", Usage: "layers of a model that go to the card: auto (as many as fit), all or `N`; 0 uses no card", Value: "auto"},
		&cli.StringSliceFlag{Name: "device", Usage: "use only this card, such as `CUDA0`; may be repeated", DefaultText: "all there are"},
	}
}

// engineOptions reads engineFlags into the configuration.
func engineOptions(c *cli.Context, to *engine.Options) (err error) {
	if to.Layers, err = offload.ParseLayers(c.String("gpu-layers")); err != nil {
		return misused(c, "--gpu-layers: %v", err)
	}
	for _, name := range c.StringSlice("device") {
		if strings.EqualFold(name, "cpu") {
			to.Layers = offload.None
			continue
		}
		if name == "" || strings.ContainsAny(name, ", ") {
			return misused(c, "--device is %q; it must be the name of one card, such as CUDA0", name)
		}
		to.Devices = append(to.Devices, name)
	}
	if to.Layers == offload.None && len(to.Devices) > 0 {
		return misused(c, "--device names a card, and no layers may go there")
	}
	return nil
}

// warnOfCards says at once when the cards that were asked for are not there:
// models then answer on the processor.
func warnOfCards(c *cli.Context, config *appliance.Config) {
	if !c.IsSet("gpu-layers") && !c.IsSet("device") || config.Engine.Layers == offload.None {
		return
	}
	devices, err := config.Devices(c.Context)
	if err != nil {
		warn(c.App.ErrWriter, err)
		return
	}
	var names []string
	for _, d := range devices {
		if d.GPU {
			names = append(names, d.Name)
		}
	}
	for _, want := range config.Engine.Devices {
		if !slices.Contains(names, want) {
			warn(c.App.ErrWriter, engine.NoSuchDevice(want, names))
			return
		}
	}
	if len(names) == 0 && config.Engine.Layers != offload.Auto {
		warn(c.App.ErrWriter, offload.ErrNoDevice)
	}
}

func warn(w io.Writer, why error) {
	fmt.Fprintf(w, "warning: %v: models answer on the processor\ntry: cloister doctor\n", why)
}
