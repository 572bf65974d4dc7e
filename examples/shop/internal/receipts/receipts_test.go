package receipts

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"example.com/shop/internal/orders"
)

func TestPrint(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	path, err := NewPrinter(t.TempDir(), zone).Print(orders.Order{
		ID: 7, Customer: "ada", Placed: time.Date(2026, 12, 31, 23, 30, 0, 0, time.UTC),
		Lines: []orders.Line{{Article: "tea", Count: 3, Cents: 250}, {Article: "cup", Count: 1, Cents: 905}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := "Order 7 for ada\n1 January 2027, 00:30 CET\n\n" +
		"   3 x tea                        7.50 EUR\n" +
		"   1 x cup                        9.05 EUR\n" +
		"                                 16.55 EUR\n"
	if string(got) != want {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
}

func TestCheckFindsAMissingFolder(t *testing.T) {
	folder := t.TempDir()
	if err := NewPrinter(folder, time.UTC).Check(); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(folder); len(left) != 0 {
		t.Fatalf("left behind: %v", left)
	}
	if err := NewPrinter(filepath.Join(folder, "missing"), time.UTC).Check(); err == nil {
		t.Fatal("accepted a missing folder")
	}
}
