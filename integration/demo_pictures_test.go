package integration

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/chromedp/chromedp"
)

// demoPictures are kept in docs/images: the window from the top of the page on.
var demoPictures = []struct {
	name, scheme string
	width        int64
	last         string // what is at their lower end
	remember     bool
}{
	{"demo-light", "light", 1000, "#memory", true},
	{"demo-dark", "dark", 1000, "#memory", false},
	{"demo-phone", "light", 360, "#rows > li:nth-child(4)", true},
}

// maxPicture is what one may take in a repository.
const maxPicture = 150_000

// takePictures writes them: go test ./integration -run 'TestDemo$' -update
func (b *demoBrowser) takePictures(t *testing.T) {
	t.Helper()
	for _, picture := range demoPictures {
		b.look(t, picture.width, picture.scheme)
		b.run(t, chromedp.Reload())
		b.wait(t)
		b.click(t, `li[data-path="/files/picture.png"] button`)
		if picture.remember {
			b.click(t, "#remember")
			b.click(t, "#purge")
		}
		b.click(t, "#again")
		end := evaluate[float64](t, b, `document.activeElement.blur(); scrollTo(0, 0); document.querySelector('`+picture.last+`').getBoundingClientRect().bottom`)
		b.run(t, chromedp.EmulateViewport(picture.width, int64(end)+8))
		shot, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join("docs", "images", picture.name+".png"), smaller(t, shot), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// smaller is the picture in the 256 colours that it has most of, which halves its file: the others are edges of letters. What is
// no grey counts for more, as few words are in colour.
func smaller(t *testing.T, file []byte) []byte {
	t.Helper()
	shot, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	counts := make(map[color.Color]int)
	area := shot.Bounds()
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			r, g, b, _ := shot.At(x, y).RGBA()
			counts[shot.At(x, y)] += 1 + int(max(r, g, b)-min(r, g, b))>>10
		}
	}
	colours := slices.SortedFunc(maps.Keys(counts), func(a, b color.Color) int { return counts[b] - counts[a] })
	few := image.NewPaletted(area, colours[:min(256, len(colours))])
	draw.Draw(few, area, shot, area.Min, draw.Src)
	var small bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&small, few); err != nil {
		t.Fatal(err)
	}
	return small.Bytes()
}

func TestDemoPictures(t *testing.T) {
	for _, picture := range demoPictures {
		file, err := os.Stat(filepath.Join("..", "docs", "images", picture.name+".png"))
		if err != nil || file.Size() > maxPicture {
			t.Errorf("%s: %v; it is to be there, and no longer than %d bytes", picture.name, err, maxPicture)
		}
	}
}
