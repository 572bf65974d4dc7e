package orders

import (
	"errors"
	"sync"
	"testing"
	"time"
)

func TestPlaceFindAndOrder(t *testing.T) {
	book := NewBook(100)
	var group sync.WaitGroup
	for range 50 {
		group.Add(1)
		go func() {
			defer group.Done()
			if _, err := book.Place("ada", []Line{{"tea", 3, 250}, {"cup", 1, 900}}, time.Now()); err != nil {
				t.Error(err)
			}
		}()
	}
	group.Wait()
	all := book.All()
	if len(all) != 50 {
		t.Fatalf("%d orders, want 50", len(all))
	}
	for index, order := range all {
		if order.ID != int64(index+1) || order.Total() != 1650 {
			t.Fatalf("order %d is %+v", index, order)
		}
	}
	if _, err := book.Find(51); !errors.Is(err, ErrUnknown) {
		t.Fatalf("got %v", err)
	}
}

func TestFullBookRefuses(t *testing.T) {
	book := NewBook(1)
	if book.Full() {
		t.Fatal("full at the start")
	}
	if _, err := book.Place("ada", nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := book.Place("bob", nil, time.Now()); !errors.Is(err, ErrFull) || !book.Full() {
		t.Fatalf("got %v", err)
	}
}
