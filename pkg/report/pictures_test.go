package report

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"autoresearch/pkg/spec"
)

func TestPicturesArePNGs(t *testing.T) {
	t.Parallel()
	for _, draw := range []func(io.Writer, Search) error{ProgressPNG, TreePNG} {
		var out bytes.Buffer
		if err := draw(&out, Search{}); err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(&out)
		if err != nil {
			t.Fatal(err)
		}
		if size := img.Bounds().Size(); size.X < 1400 || size.Y < 500 {
			t.Errorf("the picture is %v", size)
		}
	}
}

func TestPicturesThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	if err := TreePNG(fullDisk{}, Search{}); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("error %v, want the writer's", err)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// colours counts the pixels of each colour below the header.
func colours(c *canvas, header int) map[color.RGBA]int {
	found := map[color.RGBA]int{}
	img := pixels(c)
	for rest := img.Pix[header*img.Stride:]; len(rest) > 0; rest = rest[4:] {
		if rest[0] != 255 || rest[1] != 255 || rest[2] != 255 {
			found[color.RGBA{rest[0], rest[1], rest[2], rest[3]}]++
		}
	}
	return found
}

func pixels(c *canvas) *image.RGBA { return c.img.Image().(*image.RGBA) }

func TestTreeShowsEachStandingInItsColour(t *testing.T) {
	t.Parallel()
	base := ended("base", 1, "5")
	for name, c := range map[string]struct {
		s    Search
		want color.RGBA
	}{
		"not improved": {search(base), grey},
		"improved":     {search(base, under("base", ended("x", 2, "4"))), green},
		"failed":       {search(withStatus("x", spec.StatusFailed)), red},
		"running":      {search(withStatus("x", spec.StatusNodeRuns)), blue},
	} {
		found := colours(drawTree(c.s), treeHeader)
		for _, fill := range []color.RGBA{grey, green, red, blue} {
			wanted := fill == c.want || (name == "improved" && fill == grey)
			if got := found[fill] > 500; got != wanted {
				t.Errorf("%s: %d pixels of %v, want some: %v", name, found[fill], fill, wanted)
			}
		}
	}
}

func TestTreeShowsQueuedAsADashedOutline(t *testing.T) {
	t.Parallel()
	c := drawTree(search(withStatus("x", spec.StatusQueued)))
	found, img := colours(c, treeHeader), pixels(c)
	if inside := found[grey] + found[green] + found[red] + found[blue]; inside > 0 {
		t.Errorf("a queued node is filled: %d pixels", inside)
	}
	dashes, on := 0, false
	y := (treeHeader+img.Bounds().Max.Y)/2 - 22 // along the upper side of the box
	for x := range img.Bounds().Max.X {
		if dark := img.RGBAAt(x, y).R < 200; dark != on {
			on = dark
			dashes++
		}
	}
	if dashes < 10 {
		t.Errorf("the outline changes %d times between line and gap, want dashes", dashes)
	}
}

func TestProgressShowsItsMarks(t *testing.T) {
	t.Parallel()
	s := search(ended("base", 1, "5"), ended("worse", 2, "6"), ended("better", 3, "4"), ended("best", 4, "3"),
		withStatus("x", spec.StatusFailed))
	found := colours(drawProgress(s), chartHeader)
	for name, mark := range map[string]color.RGBA{"not improved": paleGrey, "improved": green, "failed": red,
		"running best": darkGreen, "best": gold, "strip": paleRed, "grid": gridLine} {
		if found[mark] < 10 {
			t.Errorf("%s: %d pixels of %v", name, found[mark], mark)
		}
	}
}

func TestPicturesOfSearchesWithLittleToShow(t *testing.T) {
	t.Parallel()
	failed := withStatus("x", spec.StatusFailed)
	noObjective := search(ended("a", 1, "1"))
	noObjective.Objective.Metric = ""
	extreme := search(ended("a", 1, "1e308"), ended("b", 2, "-1e308"), ended("c", 3, "5e-324"))
	equal := search(ended("a", 1, "1e-310"), ended("b", 2, "1e-310"))
	odd := search(ended("試験 \x00\u202e\xff "+strings.Repeat("long ", 60), 1, "1"))
	odd.Name = strings.Repeat("ключ ", 100)
	for name, s := range map[string]Search{"empty": {}, "only failed": search(failed), "no objective": noObjective,
		"not a number": search(ended("a", 1, "NaN")), "extreme": extreme, "equal": equal, "odd text": odd} {
		for _, draw := range []func(Search) *canvas{drawProgress, drawTree} {
			if size := pixels(draw(s)).Bounds().Size(); size.X < 1400 || size.X > 8000 || size.Y > 8000 {
				t.Errorf("%s: the picture is %v", name, size)
			}
		}
	}
}

func TestPicturesAreTheSameEachTime(t *testing.T) {
	t.Parallel()
	s := grow(60, 5)
	for _, draw := range []func(Search) *canvas{drawProgress, drawTree} {
		if !bytes.Equal(pixels(draw(s)).Pix, pixels(draw(s)).Pix) {
			t.Error("two pictures of one search differ")
		}
	}
}

// TestLargeSearch makes every file of ten thousand experiments, also when they are one long line.
func TestLargeSearch(t *testing.T) {
	t.Parallel()
	s := grow(10000, 1)
	if rows := splitTable(MasterTable(s)); len(rows) != 10001 {
		t.Errorf("the table has %d lines", len(rows))
	}
	if text := Markdown(s); len(text) > 100_000 {
		t.Errorf("the report has %d bytes, want few", len(text))
	}
	drawProgress(s)
	if h := hypothesesOf(look(reshape(s, shapes["chain"]))); h.leftOut != 8000 || h.choosePlan().height > pictureMost {
		t.Errorf("a line of 10000: %d are left out", h.leftOut)
	}
	if size := pixels(drawTree(reshape(s, shapes["star"]))).Bounds().Size(); size.X > 8000 || size.Y > 8000 {
		t.Errorf("the tree's picture is %v", size)
	}
}

// splitTable returns the cells of a table.
func splitTable(text []byte) (rows [][]string) {
	for line := range strings.Lines(string(text)) {
		rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	return rows
}

// TestExamplePictures leaves pictures to look at in the directory REPORT_PICTURES, when it is set.
func TestExamplePictures(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("REPORT_PICTURES")
	if dir == "" {
		t.Skip("REPORT_PICTURES is not set")
	}
	for name, s := range exampleSearches() {
		savePicture(t, filepath.Join(dir, "progress-"+name+".png"), ProgressPNG, s)
		savePicture(t, filepath.Join(dir, "tree-"+name+".png"), TreePNG, s)
	}
}

func savePicture(t *testing.T, path string, draw func(io.Writer, Search) error, s Search) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := draw(f, s); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// exampleSearches are searches of several sizes and shapes.
func exampleSearches() map[string]Search {
	searches := map[string]Search{"empty": {}, "diverged": diverge(grow(200, 4)), "max": upsideDown(grow(120, 2))}
	for _, n := range []int{5, 40, 400, 3000, 10000} {
		searches[strconv.Itoa(n)] = grow(n, 1)
	}
	for name, parent := range shapes {
		searches[name] = reshape(grow(400, 3), parent)
	}
	return searches
}

func BenchmarkTree400(b *testing.B)     { benchmarkPicture(b, TreePNG, 400) }
func BenchmarkTree10000(b *testing.B)   { benchmarkPicture(b, TreePNG, 10000) }
func BenchmarkProgress400(b *testing.B) { benchmarkPicture(b, ProgressPNG, 400) }
func BenchmarkProgress10k(b *testing.B) { benchmarkPicture(b, ProgressPNG, 10000) }
func BenchmarkMarkdown10k(b *testing.B) {
	benchmarkText(b, func(s Search) int { return len(Markdown(s)) })
}
func BenchmarkTable10000(b *testing.B) {
	benchmarkText(b, func(s Search) int { return len(MasterTable(s)) })
}

func benchmarkPicture(b *testing.B, draw func(io.Writer, Search) error, n int) {
	s := grow(n, 1)
	for b.Loop() {
		if err := draw(io.Discard, s); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkText(b *testing.B, make func(Search) int) {
	s := grow(10000, 1)
	for b.Loop() {
		if make(s) == 0 {
			b.Fatal("no text")
		}
	}
}
