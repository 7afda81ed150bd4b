#error "only node/host/store may include sqlite3.h (DESIGN.md, 'The house')"
