package demo

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/png"
	"math"
	"net/http"
)

// picture has a Last-Modified, which the tag carries.
func picture(w http.ResponseWriter, p *page) error {
	const width, height = 200, 120
	chance := p.chance()
	hue, grain := chance.Float64()*2*math.Pi, 6
	drawn := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			light := 128 + 90*math.Sin(float64(x)/37+hue)*math.Cos(float64(y)/23-hue)
			shade := func(of float64) uint8 { return uint8(light*of) + uint8(chance.IntN(grain)) } //nolint:gosec // both are small
			drawn.SetRGBA(x, y, color.RGBA{shade(0.5 + 0.4*math.Cos(hue)), shade(0.6), shade(0.5 + 0.4*math.Sin(hue)), 255})
		}
	}
	var file bytes.Buffer
	if err := png.Encode(&file, drawn); err != nil {
		return err
	}
	w.Header().Set("Last-Modified", p.date())
	return p.write(w, "image/png", file.String())
}

// tune is a sound of a few seconds. The upstream sends it whole, whatever is asked for.
func tune(w http.ResponseWriter, p *page) error {
	const rate, seconds, notes = 8000, 6, 24
	scale := [...]float64{262, 294, 330, 392, 440, 524} // Hz: pentatonic, so that no two of them jar
	chance := p.chance()
	samples := make([]byte, 0, rate*seconds)
	for range notes {
		pitch := scale[chance.IntN(len(scale))]
		for i := range rate * seconds / notes {
			at := float64(i) / rate
			samples = append(samples, byte(128+70*math.Exp(-6*at)*math.Sin(2*math.Pi*pitch*at)))
		}
	}
	var file bytes.Buffer
	size := uint32(len(samples)) //nolint:gosec // it is short
	for _, part := range []any{
		[]byte("RIFF"), 36 + size, []byte("WAVEfmt "), uint32(16), uint16(1), uint16(1), uint32(rate), uint32(rate), uint16(1), uint16(8),
		[]byte("data"), size, samples,
	} {
		if err := binary.Write(&file, binary.LittleEndian, part); err != nil {
			return err
		}
	}
	return p.write(w, "audio/wav", file.String())
}
