// Package orders keeps the shop's orders in memory. They end with the process: the example has no database.
package orders

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Line is one article of an order.
type Line struct {
	Article string `json:"article" binding:"required"`
	Count   int    `json:"count" binding:"required,min=1,max=1000"`
	// Cents is the price of one piece in euro cents.
	Cents int64 `json:"cents" binding:"required,min=1"`
}

// Order is what a customer has bought.
type Order struct {
	ID       int64     `json:"id"`
	Customer string    `json:"customer"`
	Lines    []Line    `json:"lines"`
	Placed   time.Time `json:"placed"`
}

// Total is the order's price in euro cents.
func (o Order) Total() int64 {
	var sum int64
	for _, line := range o.Lines {
		sum += int64(line.Count) * line.Cents
	}
	return sum
}

// ErrFull says that the book holds as many orders as it may.
var ErrFull = errors.New("the order book is full")

// ErrUnknown says that no order has this number.
var ErrUnknown = errors.New("no such order")

// Book holds orders; it is safe for concurrent use.
type Book struct {
	mutex sync.RWMutex
	limit int
	next  int64
	byID  map[int64]Order
}

// NewBook returns an empty book of at most limit orders.
func NewBook(limit int) *Book {
	return &Book{limit: limit, next: 1, byID: map[int64]Order{}}
}

// Place adds an order and gives it a number.
func (b *Book) Place(customer string, lines []Line, now time.Time) (Order, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if len(b.byID) >= b.limit {
		return Order{}, ErrFull
	}
	order := Order{ID: b.next, Customer: customer, Lines: slices.Clone(lines), Placed: now}
	b.byID[order.ID] = order
	b.next++
	return order, nil
}

// Find returns one order.
func (b *Book) Find(id int64) (Order, error) {
	b.mutex.RLock()
	defer b.mutex.RUnlock()
	order, found := b.byID[id]
	if !found {
		return Order{}, fmt.Errorf("%w: %d", ErrUnknown, id)
	}
	return order, nil
}

// All returns every order, oldest first.
func (b *Book) All() []Order {
	b.mutex.RLock()
	defer b.mutex.RUnlock()
	result := make([]Order, 0, len(b.byID))
	for _, order := range b.byID {
		result = append(result, order)
	}
	slices.SortFunc(result, func(a, b Order) int { return int(a.ID - b.ID) })
	return result
}

// Full reports whether the next order would be refused.
func (b *Book) Full() bool {
	b.mutex.RLock()
	defer b.mutex.RUnlock()
	return len(b.byID) >= b.limit
}
