package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/shop/internal/health"
	"example.com/shop/internal/orders"
	"example.com/shop/internal/rates"
	"example.com/shop/internal/receipts"
)

const requestIDHeader = "X-Request-Id"

type shop struct {
	log     *slog.Logger
	checker *health.Checker
	book    *orders.Book
	rates   *rates.Client
	printer *receipts.Printer
}

func (s *shop) routes() http.Handler {
	r := gin.New()
	r.Use(s.identify, s.logged, gin.Recovery())
	r.GET("/health", gin.WrapF(s.checker.HealthHandler))
	r.GET("/ready", gin.WrapF(s.checker.ReadinessHandler))

	v1 := r.Group("/v1/orders")
	v1.GET("", s.list)
	v1.POST("", s.place)
	v1.GET("/:id", s.show)
	v1.GET("/:id/receipt", s.receipt)
	return r
}

// identify keeps the caller's request id when it is a plausible one, and makes one otherwise.
func (s *shop) identify(c *gin.Context) {
	id := c.GetHeader(requestIDHeader)
	if len(id) == 0 || len(id) > 64 {
		var random [8]byte
		if _, err := rand.Read(random[:]); err != nil {
			c.AbortWithStatus(http.StatusInternalServerError)
			return
		}
		id = hex.EncodeToString(random[:])
	}
	c.Set("request_id", id)
	c.Header(requestIDHeader, id)
	c.Next()
}

func (s *shop) logged(c *gin.Context) {
	begin := time.Now()
	c.Next()
	s.log.Info("request", "id", c.GetString("request_id"), "method", c.Request.Method, "path", c.Request.URL.Path,
		"status", c.Writer.Status(), "duration_us", time.Since(begin).Microseconds())
}

func (s *shop) list(c *gin.Context) { c.JSON(http.StatusOK, gin.H{"orders": s.book.All()}) }

func (s *shop) place(c *gin.Context) {
	var body struct {
		Customer string        `json:"customer" binding:"required,max=100"`
		Lines    []orders.Line `json:"lines" binding:"required,min=1,max=100,dive"`
	}
	c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, 1<<20)
	if err := c.ShouldBindJSON(&body); err != nil {
		c.JSON(http.StatusBadRequest, gin.H{"error": err.Error()})
		return
	}
	order, err := s.book.Place(body.Customer, body.Lines, time.Now().UTC())
	if errors.Is(err, orders.ErrFull) {
		c.JSON(http.StatusInsufficientStorage, gin.H{"error": err.Error()})
		return
	}
	c.Header("Location", "/v1/orders/"+strconv.FormatInt(order.ID, 10))
	c.JSON(http.StatusCreated, order)
}

// show answers with an order and, when ?currency= asks for it, its total in another currency.
func (s *shop) show(c *gin.Context) {
	order, found := s.find(c)
	if !found {
		return
	}
	currency := c.DefaultQuery("currency", "EUR")
	total, err := s.rates.Convert(c.Request.Context(), order.Total(), currency)
	switch {
	case errors.Is(err, rates.ErrUnknownCurrency):
		c.JSON(http.StatusUnprocessableEntity, gin.H{"error": err.Error()})
	case err != nil:
		s.log.Warn("no exchange rates", "id", c.GetString("request_id"), "error", err)
		c.JSON(http.StatusBadGateway, gin.H{"error": "exchange rates are not available"})
	default:
		c.JSON(http.StatusOK, gin.H{"order": order, "total": total, "currency": currency})
	}
}

func (s *shop) receipt(c *gin.Context) {
	order, found := s.find(c)
	if !found {
		return
	}
	path, err := s.printer.Print(order)
	if err != nil {
		s.log.Error("no receipt", "id", c.GetString("request_id"), "error", err)
		c.JSON(http.StatusInternalServerError, gin.H{"error": "the receipt could not be printed"})
		return
	}
	defer os.Remove(path)
	c.FileAttachment(path, "receipt-"+strconv.FormatInt(order.ID, 10)+".txt")
}

func (s *shop) find(c *gin.Context) (orders.Order, bool) {
	id, err := strconv.ParseInt(c.Param("id"), 10, 64)
	if err != nil {
		c.JSON(http.StatusBadRequest, gin.H{"error": "an order's number is a whole number"})
		return orders.Order{}, false
	}
	order, err := s.book.Find(id)
	if err != nil {
		c.JSON(http.StatusNotFound, gin.H{"error": err.Error()})
		return orders.Order{}, false
	}
	return order, true
}
