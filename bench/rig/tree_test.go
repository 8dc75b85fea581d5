package rig

import (
	"os"
	"os/exec"
	"slices"
	"testing"
)

func TestParentIn(t *testing.T) {
	for text, want := range map[string][2]int{
		"7 (nginx) S 3 7 7 0":       {7, 3},
		"12 (a ) S 99 (b) R 5 12 0": {12, 5},
	} {
		if pid, parent, err := parentIn(text); err != nil || [2]int{pid, parent} != want {
			t.Errorf("%q: %d of %d, %v", text, pid, parent, err)
		}
	}
	for _, text := range []string{"", "7", "x (a) S 3", "7 (a) S", "7 (a) S x"} {
		if _, _, err := parentIn(text); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}

func TestPeakIn(t *testing.T) {
	if got, err := peakIn("Name:\tnginx\nVmPeak:\t  9000 kB\nVmHWM:\t    8 kB\n"); err != nil || got != 8192 {
		t.Errorf("%d, %v", got, err)
	}
	if _, err := peakIn("Name:\tnginx\n"); err == nil {
		t.Error("no line, and no error")
	}
}

// TestTree: a child is found, and counts.
func TestTree(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("there is no /proc")
	}
	child := exec.CommandContext(t.Context(), "cat")
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Skip(err)
	}
	defer func() {
		in.Close()
		_ = child.Wait()
	}()
	tree, err := Tree(os.Getpid())
	if err != nil || tree[0] != os.Getpid() || !slices.Contains(tree, child.Process.Pid) {
		t.Errorf("%v, %v", tree, err)
	}
	own, err := peakMemory(os.Getpid())
	if all, errAll := PeakMemory(os.Getpid()); err != nil || errAll != nil || all <= own {
		t.Errorf("%d of the tree, %d of the process, %v, %v", all, own, err, errAll)
	}
}
