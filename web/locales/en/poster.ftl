# The printed code.
poster-title = Printed code
poster-what = Print it for the counter. Customers scan it, type the amount and pay in installments; the money is yours on the next working day.
poster-alt = The code of { $merchant }, which holds { $link }
poster-print = Print (A5)
poster-print-what = Prints as exactly one A5 sheet. The SVG stays sharp at any size, for a print shop.
poster-svg = Download as SVG
poster-headline = Scan to pay in installments
poster-scan = Scan with WeChat or with the camera of your phone
poster-choose = Type the amount and choose a plan
poster-confirm = Enter your PIN; the cashier sees that you paid
