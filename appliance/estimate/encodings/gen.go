//go:build ignore

// gen packs the vocabularies out of the loader's module.
package main

import (
	"compress/gzip"
	"log"
	"os"

	"github.com/pkoukk/tiktoken-go-loader/assets"
)

func main() {
	for _, name := range []string{"o200k_base.tiktoken", "cl100k_base.tiktoken"} {
		b, err := assets.Assets.ReadFile(name)
		if err != nil {
			log.Fatal(err)
		}
		f, err := os.Create(name + ".gz")
		if err != nil {
			log.Fatal(err)
		}
		z, _ := gzip.NewWriterLevel(f, gzip.BestCompression)
		if _, err := z.Write(b); err != nil {
			log.Fatal(err)
		}
		if err := z.Close(); err != nil {
			log.Fatal(err)
		}
		if err := f.Close(); err != nil {
			log.Fatal(err)
		}
	}
}
