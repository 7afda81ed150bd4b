#error "a core room or a gateway parser may not include uv.h (DESIGN.md, 'The house')"
