// Package receipts writes an order's receipt to a temporary file, as a service does that hands files to a printer.
package receipts

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"time"

	"example.com/shop/internal/orders"
)

// Printer writes receipts into a folder, dated in a zone.
type Printer struct {
	folder string
	zone   *time.Location
}

// NewPrinter returns a printer; an empty folder means the system's temporary one.
func NewPrinter(folder string, zone *time.Location) *Printer {
	return &Printer{folder: folder, zone: zone}
}

// Check reports whether receipts can be written at all: a read-only root without /tmp is found here.
func (p *Printer) Check() error {
	file, err := os.CreateTemp(p.folder, "receipt-check-*")
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}

// Print writes the receipt and returns its path; the caller removes it.
func (p *Printer) Print(order orders.Order) (path string, err error) {
	file, err := os.CreateTemp(p.folder, "receipt-*.txt")
	if err != nil {
		return "", fmt.Errorf("cannot print order %d: %w", order.ID, err)
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	w := bufio.NewWriter(file)
	fmt.Fprintf(w, "Order %d for %s\n%s\n\n", order.ID, order.Customer, order.Placed.In(p.zone).Format("2 January 2006, 15:04 MST"))
	for _, line := range order.Lines {
		fmt.Fprintf(w, "%4d x %-24s %10s\n", line.Count, line.Article, euros(int64(line.Count)*line.Cents))
	}
	fmt.Fprintf(w, "%42s\n", euros(order.Total()))
	return file.Name(), w.Flush()
}

func euros(cents int64) string { return fmt.Sprintf("%d.%02d EUR", cents/100, cents%100) }
